#pragma once
#include "kitvault/error.h"

/** Version of the library, "MAJOR.MINOR.PATCH". Static storage. */
KV_API const char *kv_version(void);
