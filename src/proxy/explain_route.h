/* The stages of an explanation between the parsed head and an origin: route, admit, serve. */
#ifndef PC_PROXY_EXPLAIN_ROUTE_H
#define PC_PROXY_EXPLAIN_ROUTE_H

struct explain;

void explain_route(struct explain *e);
void explain_admit(struct explain *e);
void explain_serve(struct explain *e);

#endif
