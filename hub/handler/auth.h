#pragma once
/* Who asks, and may they? */
#include "hub/route/route.h"
#include "hub/service/principal.h"

/** The hook of the router (kv_auth_fn). */
kv_auth_fn kv_authorize;

/**
 * Signs in with name and password, filling in *io. A wrong one answers 401, too many 429 with
 * Retry-After; the challenge is the caller's to add.
 */
KV_MUST_CHECK kv_code kv_auth_password(kv_hub *hub, kv_request *req, kv_sv name, kv_sv password,
                                       kv_principal *io, kv_error *err);
/** The same from "Authorization: Basic ..."; *out_given false: there is no such header. */
KV_MUST_CHECK kv_code kv_auth_basic(kv_hub *hub, kv_request *req, kv_principal *io, bool *out_given,
                                    kv_error *err);
/** WWW-Authenticate: Basic. */
void kv_auth_challenge_basic(kv_request *req);
