#include "base/library.h"

#include <string.h>

#include "base/mem.h"
#include "test/test.h"

static void loads_functions(void **state)
{
    (void)state;
    double (*cosine)(double) = NULL;
    const kv_symbol symbols[] = {{"cos", &cosine}};
    kv_error err = {0};
    assert_int_equal(kv_library_load("libm.so.6", symbols, KV_COUNT(symbols), &err), KV_OK);
    assert_true(cosine(0.0) > 0.99);
}

static void names_what_is_missing(void **state)
{
    (void)state;
    void (*nothing)(void) = NULL;
    const kv_symbol symbols[] = {{"kv_no_such_function", &nothing}};
    kv_error err = {0};
    assert_int_equal(kv_library_load("libnone.so.99", symbols, 0, &err), KV_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "cannot load libnone.so.99: "));
    assert_int_equal(kv_library_load("libm.so.6", symbols, 1, &err), KV_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "kv_no_such_function"));
    assert_null(nothing);
}

KV_TEST_MAIN(cmocka_unit_test(loads_functions), cmocka_unit_test(names_what_is_missing))
