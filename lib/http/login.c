#include <stdlib.h>
#include <string.h>

#include "kitvault/credentials.h"

static void wipe(char *s)
{
    if (s) explicit_bzero(s, strlen(s));
    free(s);
}

void kv_login_clear(kv_login *login)
{
    wipe(login->user);
    wipe(login->secret);
    *login = (kv_login){0};
}
