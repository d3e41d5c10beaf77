#pragma once
/* Who asks, and may they? */
#include "hub/route/route.h"

/** The hook of the router (kv_auth_fn). */
kv_auth_fn kv_authorize;
