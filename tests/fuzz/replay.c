/* Feeds every file of a folder to a fuzz target: the corpus as a test, without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Larger than any seed. */
enum { INPUT_MAX = 4 * 1024 * 1024 };

static void replay(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    uint8_t *whole = malloc(INPUT_MAX);
    if (file == NULL || whole == NULL) {
        perror(path);
        exit(1);
    }
    size_t size = fread(whole, 1, INPUT_MAX, file);
    fclose(file);
    /* A block of just that size, so that AddressSanitizer sees a read beyond it. */
    uint8_t *exact = malloc(size != 0 ? size : 1);
    if (exact == NULL)
        exit(1);
    for (size_t i = 0; i < size; i++)
        exact[i] = whole[i];
    free(whole);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (folder == NULL) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 1;
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.') {
            replay(argv[1], entry->d_name);
            count++;
        }
    closedir(folder);
    printf("%u inputs\n", count);
    return count == 0;
}
