#include <stdio.h>

#include "kitvault/version.h"

int main(void)
{
    printf("kitvaultd %s\n", kv_version());
    return 0;
}
