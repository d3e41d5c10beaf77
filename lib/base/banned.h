#pragma once
/* Functions that have a safe replacement here. Included by base/str.h's users through the build
 * (-include), after the system headers that declare them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok strtok_r atoi gmtime      \
    localtime asctime ctime mktemp alloca
