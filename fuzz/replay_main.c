/* Feeds every file of the folders named on the command line to a fuzz target: the corpus and past
 * crashes, replayed with any compiler in the normal test run. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "fuzz/fuzz.h"

static int replay_file(const char *path)
{
    kv_auto_buf b = KV_BUF(64u << 20);
    kv_error err = {0};
    if (kv_file_read(path, &b, &err) != KV_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    /* An exact heap copy, so that a sanitizer sees one byte too far. */
    uint8_t *copy = malloc(b.n ? b.n : 1);
    if (!copy) return 1;
    for (size_t i = 0; i < b.n; i++) copy[i] = (uint8_t)b.p[i];
    LLVMFuzzerTestOneInput(copy, b.n);
    free(copy);
    return 0;
}

int main(int argc, char **argv)
{
    size_t n = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            fprintf(stderr, "cannot open '%s'\n", argv[i]);
            return 1;
        }
        for (struct dirent *e; (e = readdir(d));) {
            if (e->d_name[0] == '.') continue;
            kv_auto_str path = kv_path_join(argv[i], e->d_name);
            if (!path || replay_file(path)) {
                closedir(d);
                return 1;
            }
            n++;
        }
        closedir(d);
    }
    printf("%zu inputs\n", n);
    return n ? 0 : 1;
}
