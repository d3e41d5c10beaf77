#include "fuzz/fuzz.h"
#include "remote/auth_file.h"
#include "remote/auth_helper.h"

/* What was read can be written, and read again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kv_sv text = {(const char *)data, size};
    kv_auto_login login = {0};
    if (kv_auth_helper_parse(text, &login, NULL) == KV_OK && !login.secret) __builtin_trap();
    kv_auto_auth_file f = {0};
    if (kv_auth_file_parse(text, &f, NULL) != KV_OK) return 0;
    kv_sv host = KV_SV("hub.example");
    (void)kv_auth_file_helper(&f, host);
    kv_auto_login kept = {0};
    if (kv_auth_file_get(&f, host, &kept, NULL) == KV_OK && !kept.secret) __builtin_trap();
    kv_auto_buf out = KV_BUF(KV_AUTH_FILE_MAX);
    if (kv_auth_file_format(&f, host, NULL, &out, NULL) != KV_OK) return 0;
    kv_auto_auth_file again = {0};
    if (kv_auth_file_parse(kv_buf_sv(&out), &again, NULL) != KV_OK) __builtin_trap();
    if (kv_auth_file_get(&again, host, &kept, NULL) == KV_OK) __builtin_trap();
    return 0;
}
