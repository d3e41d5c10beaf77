#include "kitfile/license.h"

typedef struct license {
    const char *id;
    const char *has[3]; /* all of them, lower case, one blank between words */
    const char *lacks;
} license;

#define BSD                                                                                        \
    "redistribution and use in source and binary forms with or without modification are permitted"
#define BSD_3 "may be used to endorse or promote products derived from"
#define PERMIT                                                                                     \
    "permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted"
#define ISC_IF                                                                                     \
    "provided that the above copyright notice and this permission notice appear in all copies"
#define CC(words) "creative commons attribution " words "4 0 international public license"

static const license LICENSES[] = {
    {"Apache-2.0",
     {"apache license version 2 0 january 2004",
      "terms and conditions for use reproduction and distribution"},
     NULL},
    {"MIT",
     {"permission is hereby granted free of charge to any person obtaining a copy of this software "
      "and associated documentation files",
      "the above copyright notice and this permission notice shall be included in all copies"},
     NULL},
    {"BSD-2-Clause", {BSD, "redistributions in binary form must reproduce"}, BSD_3},
    {"BSD-3-Clause", {BSD, "redistributions in binary form must reproduce", BSD_3}, NULL},
    {"ISC", {PERMIT " " ISC_IF}, NULL},
    {"0BSD", {PERMIT}, ISC_IF},
    {"MPL-2.0", {"mozilla public license version 2 0", "covered software"}, NULL},
    {"GPL-2.0", {"gnu general public license version 2 june 1991"}, NULL},
    {"GPL-3.0", {"gnu general public license version 3 29 june 2007"}, NULL},
    {"LGPL-2.1", {"gnu lesser general public license version 2 1 february 1999"}, NULL},
    {"LGPL-3.0", {"gnu lesser general public license version 3 29 june 2007"}, NULL},
    {"AGPL-3.0", {"gnu affero general public license version 3 19 november 2007"}, NULL},
    {"CC0-1.0", {"cc0 1 0 universal"}, NULL},
    {"CC-BY-4.0", {CC("")}, NULL},
    {"CC-BY-SA-4.0", {CC("sharealike ")}, NULL},
    {"CC-BY-ND-4.0", {CC("noderivatives ")}, NULL},
    {"CC-BY-NC-4.0", {CC("noncommercial ")}, NULL},
    {"CC-BY-NC-SA-4.0", {CC("noncommercial sharealike ")}, NULL},
    {"CC-BY-NC-ND-4.0", {CC("noncommercial noderivatives ")}, NULL},
    {"Unlicense", {"this is free and unencumbered software released into the public domain"}, NULL},
    {"BSL-1.0", {"boost software license version 1 0 august 17th 2003"}, NULL},
    {"Zlib",
     {"in no event will the authors be held liable for any damages arising from the use of this "
      "software",
      "altered source versions must be plainly marked as such"},
     NULL},
    {"EPL-2.0", {"eclipse public license v 2 0"}, NULL},
};

/* Words in lower case with one blank between them. */
static void normalise(kv_sv text, kv_buf *out)
{
    bool gap = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c | 0x20);
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (word && gap && out->n) kv_buf_addc(out, ' ');
        if (word) kv_buf_addc(out, c);
        gap = !word;
    }
}

static bool has_phrase(kv_sv words, const char *phrase)
{
    return kv_sv_find_sub(words, kv_sv_of(phrase)) != SIZE_MAX;
}

static bool is(kv_sv words, const license *l)
{
    for (size_t i = 0; i < KV_COUNT(l->has) && l->has[i]; i++)
        if (!has_phrase(words, l->has[i])) return false;
    return !l->lacks || !has_phrase(words, l->lacks);
}

kv_sv kf_license_of(kv_sv text)
{
    kv_auto_buf words = KV_BUF(KF_LICENSE_BYTES_MAX);
    normalise(text, &words);
    const license *found = NULL;
    for (size_t i = 0; i < KV_COUNT(LICENSES); i++) {
        if (!is(kv_buf_sv(&words), &LICENSES[i])) continue;
        if (found) return (kv_sv){"", 0};
        found = &LICENSES[i];
    }
    return found && !words.failed ? kv_sv_of(found->id) : (kv_sv){"", 0};
}
