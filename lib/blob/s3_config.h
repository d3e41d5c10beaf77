#pragma once
/* Where an S3 bucket is and who asks: the environment and the files every S3 client reads. */
#include "base/str.h"

typedef struct kv_s3_config { /* owned; clear it */
    char *endpoint;           /* "https://s3.eu-west-1.amazonaws.com", no slash at the end */
    char *bucket;
    char *region;
    char *access_key, *secret_key, *session_token; /* session_token NULL: none */
} kv_s3_config;
void kv_s3_config_clear(kv_s3_config *c);
#define kv_auto_s3_config KV_CLEANUP(kv_s3_config_clear) kv_s3_config

/**
 * Fills in what is found for bucket: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
 * AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL; then the profile AWS_PROFILE
 * ("default") of AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials) and AWS_CONFIG_FILE
 * (~/.aws/config). Region "us-east-1" when nobody says.
 * Errors: KV_E_AUTH (no keys anywhere), KV_E_INVALID (a bucket or endpoint that is none), KV_E_SYNTAX
 * (a file, named). Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".
 */
KV_MUST_CHECK kv_code kv_s3_config_load(const char *bucket, kv_s3_config *out, kv_error *err);

/**
 * The value of key in [section] of such a file (or [profile section] of a config file): {NULL, 0} when it
 * has none. Values are trimmed; lines that begin with '#' or ';' are comments; nested settings are
 * passed over. Errors: KV_E_SYNTAX "line N: ...". Threads: pure.
 */
KV_MUST_CHECK kv_code kv_aws_ini_get(kv_sv text, kv_sv section, const char *key, kv_sv *out,
                                     kv_error *err);
/** The next <name>text</name> of an XML document, from *rest on; false at the end. The text is as it
 * stands there, escapes included. Threads: pure. */
bool kv_xml_next(kv_sv *rest, const char *name, kv_sv *out);
/** Appends text with the five named escapes of XML resolved. */
void kv_xml_text_add(kv_buf *out, kv_sv text);
