/* Apart from the client, so that the hub, which only wants the words, does not carry it. */
#include "http/status.h"

#include <stddef.h>

#include "base/mem.h"

static const struct {
    int status;
    kv_code code;
    const char *text;
} STATUSES[] = {
    {200, KV_OK, "OK"},
    {201, KV_OK, "Created"},
    {202, KV_OK, "Accepted"},
    {204, KV_OK, "No Content"},
    {206, KV_OK, "Partial Content"},
    {301, KV_E_PROTOCOL, "Moved Permanently"},
    {302, KV_E_PROTOCOL, "Found"},
    {303, KV_E_PROTOCOL, "See Other"},
    {304, KV_E_PROTOCOL, "Not Modified"},
    {307, KV_E_PROTOCOL, "Temporary Redirect"},
    {308, KV_E_PROTOCOL, "Permanent Redirect"},
    {400, KV_E_PROTOCOL, "Bad Request"},
    {401, KV_E_AUTH, "Unauthorized"},
    {403, KV_E_DENIED, "Forbidden"},
    {404, KV_E_NOTFOUND, "Not Found"},
    {405, KV_E_UNSUPPORTED, "Method Not Allowed"},
    {406, KV_E_UNSUPPORTED, "Not Acceptable"},
    {408, KV_E_TIMEOUT, "Request Timeout"},
    {409, KV_E_EXISTS, "Conflict"},
    {410, KV_E_NOTFOUND, "Gone"},
    {411, KV_E_PROTOCOL, "Length Required"},
    {412, KV_E_EXISTS, "Precondition Failed"},
    {413, KV_E_LIMIT, "Request Entity Too Large"},
    {414, KV_E_LIMIT, "Request URI Too Long"},
    {415, KV_E_UNSUPPORTED, "Unsupported Media Type"},
    {416, KV_E_RANGE, "Requested Range Not Satisfiable"},
    {417, KV_E_UNSUPPORTED, "Expectation Failed"},
    {422, KV_E_INVALID, "Unprocessable Entity"},
    {425, KV_E_NETWORK, "Too Early"},
    {428, KV_E_INVALID, "Precondition Required"},
    {429, KV_E_NETWORK, "Too Many Requests"},
    {431, KV_E_LIMIT, "Request Header Fields Too Large"},
    {500, KV_E_NETWORK, "Internal Server Error"},
    {501, KV_E_UNSUPPORTED, "Not Implemented"},
    {502, KV_E_NETWORK, "Bad Gateway"},
    {503, KV_E_NETWORK, "Service Unavailable"},
    {504, KV_E_TIMEOUT, "Gateway Timeout"},
    {505, KV_E_UNSUPPORTED, "HTTP Version Not Supported"},
    {507, KV_E_NOSPACE, "Insufficient Storage"},
};

const char *kv_http_status_text(int status)
{
    for (size_t i = 0; i < KV_COUNT(STATUSES); i++)
        if (STATUSES[i].status == status) return STATUSES[i].text;
    return "";
}

kv_code kv_http_status_code(int status)
{
    for (size_t i = 0; i < KV_COUNT(STATUSES); i++)
        if (STATUSES[i].status == status) return STATUSES[i].code;
    if (status >= 200 && status < 300) return KV_OK;
    return status >= 500 ? KV_E_NETWORK : KV_E_PROTOCOL;
}
