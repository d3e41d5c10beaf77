#pragma once
/* Which licence a text is. */
#include "base/str.h"

#define KF_LICENSE_BYTES_MAX (1u << 20) /* longer files are no licence; own */

/**
 * The SPDX identifier of the one known licence whose characteristic phrases text holds; empty when
 * none or several match. White space, punctuation and case do not count. Static storage.
 * Threads: pure. Source: phrases from the licences' own texts; identifiers of spdx.org.
 */
kv_sv kf_license_of(kv_sv text);
