#pragma once
/* The local store as commands reach it. */
#include "cli/context.h"
#include "kitvault/store.h"

/** Opens the store in the home directory, brought into today's layout where an old kit wrote it. */
KV_MUST_CHECK kv_code kv_cli_store(const kv_cli *cli, kv_store **out, kv_error *err);
