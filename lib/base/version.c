#include "kitvault/version.h"

#include "kv_config.h"

const char *kv_version(void)
{
    return KV_VERSION_STRING;
}
