/*
 * A streaming compressor: gzip (RFC 1952), brotli (RFC 7932) or zstd (RFC 8878) behind one face.
 * What goes in comes out through the sink, at the latest at the next flush.
 *
 * Levels are chosen by cost. Measured on JavaScript of 900 KB in pieces of 16 KiB, one core:
 *
 *     gzip 5, window 16 KiB     90 MB/s   6.5 times smaller    135 KiB per stream
 *     brotli 4, window 64 KiB  130 MB/s   6.4                  0.8 MiB for 16 KiB, at most 1.9 MiB
 *     zstd 3, window 64 KiB    430 MB/s   5.6                  0.26 MiB for 16 KiB, at most 0.6 MiB
 *
 * One level up costs 50 to 70 % more time for 4 (gzip) to 12 % (brotli) fewer bytes; larger windows
 * cost memory in proportion for at most 4 %.
 */
#ifndef PC_FILES_ENCODER_H
#define PC_FILES_ENCODER_H

#include "base/str.h"
#include "files/coding.h"

struct encoder;

enum encoder_mode {
    ENCODER_MORE,   /* more will come soon: keep what is better compressed together */
    ENCODER_FLUSH,  /* all that went in so far can be decoded from what came out */
    ENCODER_FINISH, /* the end; nothing may be fed after it */
};

/* Takes all of `bytes`, which are gone after the call. False: no more, the encoder is to be ended.
 */
typedef bool encoder_sink(void *user, struct str bytes);

/* NULL for identity and without memory. */
struct encoder *encoder_new(enum coding coding) __attribute__((warn_unused_result));
/* NULL is allowed. */
void encoder_end(struct encoder *encoder);

/*
 * Feeds `in` (any length, also none) and hands on what comes out. False when the sink said so or
 * the library failed: the stream is broken then, and its receiver must not take it as complete.
 */
bool encoder_feed(struct encoder *encoder, struct str in, enum encoder_mode mode,
                  encoder_sink *sink, void *user) __attribute__((warn_unused_result));

#endif
