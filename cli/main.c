#include <stdio.h>

#include "kitvault/version.h"

int main(void)
{
    printf("Version: %s\n", kv_version());
    return 0;
}
