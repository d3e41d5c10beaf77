#pragma once
/* The local store as commands reach it. */
#include "cli/context.h"
#include "kitvault/store.h"

/** Opens the store in the home directory. */
KV_MUST_CHECK kv_code kv_cli_store(const kv_cli *cli, kv_store **out, kv_error *err);
