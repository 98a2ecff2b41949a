/* fuzz_main.c - a fuzzer for compilers without one: for a number of seconds,
 * files and lines made up here, each changed in a few places. */
#include <time.h>

#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE = 4096 };
static uint64_t state = 88172645463325252u;

static size_t below(size_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % limit);
}

static const char *const MADE_UP[] = {
    "a b\na 1\nb 2\n", "8:0 rbytes=1 avg10=0.50\n", "8:0 Read 18446744073709551615\nTotal 1\n", "0-3,8,65535\n", "max 100000\n",
    "1 2 0:3 / /a\\040b rw shared:1 - cgroup  rw,cpu\n", "c 1:3 rwm\n", "-9223372036854775808\n", "",
};

static size_t load(const char *path, char *to)
{
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    size_t length = fread(to, 1, SIZE / 2, file);
    fclose(file);
    return length;
}

static size_t change(char *text, size_t length)
{
    static const char COMMON[] = "0123456789 \t\n=-,.:\\max";
    size_t at = below(length + 1);
    char byte = below(4) ? COMMON[below(sizeof COMMON)] : (char)below(256);
    switch (below(4)) {
    case 0: return at;
    case 1:
        if (at < length)
            text[at] = byte;
        return length;
    case 2:
        if (at < length)
            memmove(text + at, text + at + 1, length - at - 1);
        return at < length ? length - 1 : length;
    default:
        if (length < SIZE) {
            memmove(text + at + 1, text + at, length - at);
            text[at] = byte;
            return length + 1;
        }
        return length;
    }
}

int main(int argc, char **argv)
{
    static char input[SIZE + 2];
    CHECK(argc >= 2);
    struct timespec begin, now;
    long seconds = atol(argv[1]);
    unsigned long runs = 0;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        for (int i = 0; i < 100; i++, runs++) {
            size_t choice = below(COUNT(MADE_UP) + (size_t)argc - 2), length;
            if (choice < COUNT(MADE_UP)) {
                length = strlen(MADE_UP[choice]);
                memcpy(input + 2, MADE_UP[choice], length);
            } else {
                length = load(argv[2 + choice - COUNT(MADE_UP)], input + 2);
            }
            for (size_t changes = below(5); changes > 0; changes--)
                length = change(input + 2, length);
            input[0] = (char)below(256);
            input[1] = (char)below(256);
            LLVMFuzzerTestOneInput((const uint8_t *)input, length + 2);
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begin.tv_sec < seconds);
    printf("%lu\n", runs);
    return 0;
}
