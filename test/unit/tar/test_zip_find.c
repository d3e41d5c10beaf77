#include <string.h>

#include "tar/zip_find.h"
#include "test/test.h"

static kv_code read_at(void *ctx, uint64_t offset, void *dst, size_t n, kv_error *err)
{
    const kv_sv *all = ctx;
    (void)err;
    assert_true(offset <= all->n && n <= all->n - offset); /* nothing beyond the archive is asked */
    memcpy(dst, all->p + offset, n);
    return KV_OK;
}

/* Archives whose only entry in the directory is called "a": header, name, end record. */
#define HEAD "PK\1\2" ZEROS24 "\1\0\0\0\0\0" ZEROS12
#define ZEROS12 "\0\0\0\0\0\0\0\0\0\0\0\0"
#define ZEROS24 ZEROS12 ZEROS12
#define END(n, size, from) "PK\5\6\0\0\0\0" n n size from "\0\0"
#define END64(size, from) "PK\6\6" ZEROS24 ZEROS12 size from
#define LOCATOR(at) "PK\6\7\0\0\0\0" at "\1\0\0\0"

static void finds_entries(void **state)
{
    static const struct {
        const char *name;
        kv_sv zip;
        kv_code want;
        bool found;
    } CASES[] = {
        {"one entry", KV_SV_INIT(HEAD "a" END("\1\0", "\57\0\0\0", "\0\0\0\0")), KV_OK, true},
        {"another", KV_SV_INIT(HEAD "b" END("\1\0", "\57\0\0\0", "\0\0\0\0")), KV_OK, false},
        {"no entry", KV_SV_INIT(END("\0\0", "\0\0\0\0", "\0\0\0\0")), KV_OK, false},
        {"nothing", KV_SV_INIT(""), KV_E_CORRUPT, false},
        {"cut end", KV_SV_INIT("PK\5\6\0\0\0\0\0\0\0\0"), KV_E_CORRUPT, false},
        {"bytes behind the end", KV_SV_INIT(END("\0\0", "\0\0\0\0", "\0\0\0\0") "x"), KV_E_CORRUPT,
         false},
        {"directory behind the end", KV_SV_INIT(END("\1\0", "\57\0\0\0", "\0\0\0\0")), KV_E_CORRUPT,
         false},
        {"directory wraps", KV_SV_INIT(END("\1\0", "\376\377\377\377", "\376\377\377\377")),
         KV_E_CORRUPT, false},
        {"directory cut in an entry", KV_SV_INIT(HEAD "a" END("\1\0", "\4\0\0\0", "\0\0\0\0")),
         KV_E_CORRUPT, false},
        {"directory cut in a name", KV_SV_INIT(HEAD "a" END("\1\0", "\56\0\0\0", "\0\0\0\0")),
         KV_E_CORRUPT, false},
        {"entry, then other bytes", KV_SV_INIT(HEAD "a" HEAD END("\2\0", "\60\0\0\0", "\0\0\0\0")),
         KV_E_CORRUPT, false},
        {"directory of other bytes", KV_SV_INIT(HEAD "a" END("\1\0", "\56\0\0\0", "\1\0\0\0")),
         KV_E_CORRUPT, false},
        {"zip64",
         KV_SV_INIT(HEAD "a" END64("\57\0\0\0\0\0\0\0", "\0\0\0\0\0\0\0\0") LOCATOR(
             "\57\0\0\0\0\0\0\0") END("\377\377", "\377\377\377\377", "\377\377\377\377")),
         KV_OK, true},
        {"zip64 without locator", KV_SV_INIT(HEAD "a" END("\377\377", "\57\0\0\0", "\0\0\0\0")),
         KV_E_CORRUPT, false},
        {"zip64 too short", KV_SV_INIT(END("\377\377", "\57\0\0\0", "\0\0\0\0")), KV_E_CORRUPT,
         false},
        {"zip64 elsewhere",
         KV_SV_INIT(HEAD "a" LOCATOR("\377\377\377\377\377\377\377\377")
                        END("\377\377", "\57\0\0\0", "\0\0\0\0")),
         KV_E_CORRUPT, false},
        {"zip64 of other bytes",
         KV_SV_INIT(HEAD "a" ZEROS24 ZEROS24 LOCATOR("\0\0\0\0\0\0\0\0")
                        END("\377\377", "\57\0\0\0", "\0\0\0\0")),
         KV_E_CORRUPT, false},
        {"zip64 wraps",
         KV_SV_INIT(HEAD "a" END64("\377\377\377\377\377\377\377\377", "\1\0\0\0\0\0\0\0")
                        LOCATOR("\57\0\0\0\0\0\0\0") END("\377\377", "\57\0\0\0", "\0\0\0\0")),
         KV_E_CORRUPT, false},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_sv zip = CASES[i].zip;
        bool found = true;
        kv_code got = kv_zip_find(read_at, &zip, zip.n, KV_SV("a"), &found, &err);
        if (got != CASES[i].want || found != CASES[i].found)
            fail_msg("%s: code %d, found %d, '%s'", CASES[i].name, (int)got, found, err.msg);
    }
}

KV_TEST_MAIN(cmocka_unit_test(finds_entries))
