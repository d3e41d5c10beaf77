#pragma once
/* Statuses of answers: the words behind the number, and what a client decides by. Pure. */
#include "kitvault/error.h"

/** Standard words for a status: "Not Found"; "" when unknown. */
const char *kv_http_status_text(int status);
/** The code a caller decides by: 401 KV_E_AUTH, 403 KV_E_DENIED, 404 KV_E_NOTFOUND, ... */
kv_code kv_http_status_code(int status);
