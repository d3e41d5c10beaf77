#include "cli/hub_event.h"
#include "fuzz/fuzz.h"

/* An event of a hub's log, from a hub that may be anybody's: no crash, and no control character on
 * the terminal. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kv_auto(kv_jdoc) doc = NULL;
    kv_sv text = {(const char *)data, size};
    if (kv_jdoc_parse(text, &doc, NULL) != KV_OK) return 0;
    kv_auto_table table = kv_table_make(KV_EVENT_COLUMNS, false);
    if (kv_event_row(&table, kv_jdoc_root(doc), NULL) != KV_OK) return 0;
    for (size_t i = 0; i < table.n; i++)
        for (size_t k = 0; k < table.cells[i].n; k++)
            if ((unsigned char)table.cells[i].p[k] < ' ') __builtin_trap();
    return 0;
}
