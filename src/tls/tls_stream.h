/*
 * TLS 1.2 and 1.3 over another stream: tls_accept() and tls_connect() make one. It is a stream
 * (net/stream.h) whose user gets on_open when the handshake is done, and plain bytes after it.
 *
 * What is particular to TLS:
 *   - sending before on_open does nothing.
 *   - stream_finish() sends close_notify, then the FIN of the stream below. stream_close() alone
 * says nothing to the peer, who takes what it has for truncated: finish first when all was sent.
 *   - STREAM_FINISHED is the peer's close_notify; STREAM_TRUNCATED the end of the stream below
 *     without one; STREAM_BAD_TLS a failed handshake or record, with a sentence for the record in
 *     stream_error_text(). The alert is sent before on_end.
 *   - all records of one call leave by one send of the stream below; what that one does not take is
 *     its backlog, and there is no other.
 *   - handshake messages are bounded: 64 KiB before the handshake ends, later 64 KiB between two
 *     pieces of data (GnuTLS itself would take 16 MB). Renegotiation is refused.
 *   - an idle stream holds no buffer, only the session of GnuTLS (10 KB) and about 200 bytes.
 */
#ifndef PC_TLS_TLS_STREAM_H
#define PC_TLS_TLS_STREAM_H

#include "net/stream.h"

struct tls_info {
    const char *version; /* "1.3", "1.2"; "" before */
    const char *cipher;  /* IANA name */
    const char *group;   /* "X25519" …, "" when resumed without one */
    struct str alpn;     /* empty: none agreed */
    struct str name;     /* server name in lower case; empty: none sent */
    bool resumed;
};

/* `stream` was made by tls_accept() or tls_connect(). The strings hold as long as the stream. */
void tls_stream_info(const struct stream *stream, struct tls_info *info);
/* The server name alone, without asking GnuTLS anything: in lower case; empty: none was sent. */
struct str tls_stream_name(const struct stream *stream);

#endif
