#include "proxy/session.h"

#include "proxy/front_state.h"
#include "tls/tls_stream.h"

bool session_is_tls(const struct session *session)
{
    return session->tls;
}

void session_tls_info(const struct session *session, struct tls_info *info)
{
    *info = (struct tls_info){.version = "", .cipher = "", .group = ""};
    if (session->tls)
        tls_stream_info(session->stream, info);
}

struct str session_sni(const struct session *session)
{
    if (!session_is_tls(session))
        return (struct str){0};
    if (session->stream == NULL) /* @UNSAFE: only a session_dry has no stream */
        return ((const struct session_dry *)(const void *)session)->sni;
    return tls_stream_name(session->stream);
}
