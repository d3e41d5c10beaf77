#pragma once
/* The front matter of a SKILL.md: YAML between lines of "---" at the start of the file. */
#include "base/str.h"

#define KF_SKILL_BYTES_MAX (1u << 20) /* own */

typedef struct kf_skill {
    kv_sv name, description, license; /* empty when not given; in the arena */
} kf_skill;
/** Text without front matter, or with one that does not parse, gives empty fields. */
void kf_skill_of(kv_sv text, kv_arena *arena, kf_skill *out);
