#include "hub/service/first_admin.h"

#include "base/crash.h"
#include "base/file.h"

enum { LINE_MAX_BYTES = 4096 };

static kv_code read_password(const char *path, kv_buf *out, kv_error *err)
{
    kv_auto_secret_buf text = KV_BUF(LINE_MAX_BYTES);
    kv_sv line;
    KV_TRY(kv_file_read(path, &text, err));
    (void)kv_sv_cut(kv_buf_sv(&text), '\n', &line, NULL);
    if (kv_sv_ends(line, KV_SV("\r"))) line.n--;
    kv_buf_add(out, line);
    return kv_buf_check(out, err);
}

static kv_code make_password(const char *data, kv_buf *out, kv_error *err)
{
    char made[KV_PASSWORD_NEW_MAX];
    kv_auto_secret_buf line = KV_BUF(64);
    kv_auto_str path = kv_path_join(data, "initial-admin-password");
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_password_new(made);
    kv_buf_adds(out, made);
    kv_buf_addf(&line, "%s\n", made);
    kv_wipe(made, sizeof(made));
    KV_TRY(kv_buf_check(out, err));
    KV_TRY(kv_buf_check(&line, err));
    KV_TRY(kv_file_write(path, kv_buf_sv(&line), 0600, err));
    kv_crash_point("admin.after-password-file");
    return KV_OK;
}

kv_code kv_first_admin(kv_identity *id, const char *data, const char *password_file, bool *out_made,
                       kv_error *err)
{
    bool has;
    kv_auto_secret_buf password = KV_BUF(LINE_MAX_BYTES);
    *out_made = false;
    KV_TRY(kv_user_has_admin(id, &has, err));
    if (has) return KV_OK;
    if (password_file[0])
        KV_TRY(read_password(password_file, &password, err));
    else
        KV_TRY(make_password(data, &password, err));
    kv_new_user admin = {.name = KV_SV("admin"), .password = kv_buf_sv(&password), .admin = true};
    kv_code rc = kv_user_add(id, &KV_PRINCIPAL_SYSTEM, &admin, err);
    if (rc != KV_OK) return kv_wrap(err, rc, "adding the first administrator");
    *out_made = !password_file[0];
    return KV_OK;
}
