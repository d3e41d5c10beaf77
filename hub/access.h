#pragma once
/* What is written down about each request: one log line, and the counters. */
#include "hub/hub.h"
#include "hub/route/route.h"

/** log_requests may be changed while running (SIGHUP). */
void kv_access_set_log(bool log_requests);
/** A request is over. */
void kv_access_done(kv_hub *hub, kv_request *req);
