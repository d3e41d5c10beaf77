#pragma once
/*
 * What a command prints with --format json: one object that is written while the work goes on, so
 * that a long list is never in memory. A failure is its last member:
 *   {"digest":"sha256:...","files":[{...}],"error":{"class":"damaged","message":"..."}}
 * Source: own; docs/format/command-json.md.
 */
#include "cli/context.h"
#include "json/json.h"

typedef struct kv_document {
    kv_cli *cli;
    kv_buf text;
    kv_jout out; /* inside of the object; write members here */
} kv_document;
/** Begins the object; d stays where it is until kv_document_end. */
void kv_document_begin(kv_document *d, kv_cli *cli);
/** Between two items of a list: hands what is collected to standard output now and then. */
void kv_document_flow(kv_document *d);
/**
 * Closes the object, with an error member unless code is KV_OK, and prints it. Lists are closed
 * already. Returns code; err (may be NULL) holds its text.
 */
kv_code kv_document_end(kv_document *d, kv_code code, const kv_error *err);

/** The document of a command that failed before it printed anything. */
void kv_document_fail(kv_code code, const kv_error *err);
/** Whether --format json was asked for: the command's option "format", whatever its other forms. */
bool kv_wants_json(const kv_cmd *cmd, const void *args);
/** Whether the value of KV_OPT_FORMAT asks for JSON. */
bool kv_is_json(const char *format);
/** Whether the command's result will be an object of ours: --format json of KV_OPT_FORMAT. What it
 * says besides goes to standard error then. */
bool kv_prints_object(const kv_cmd *cmd, const void *args);
