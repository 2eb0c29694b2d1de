/*
 * A doubly linked ring: the head is a link too; an unlinked link points to itself or is zero.
 * Owners embed `struct link` and get back by LIST_OF().
 */
#ifndef PC_BASE_LIST_H
#define PC_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *prev, *next;
};

#define LIST_OF(link_at, type, member) ((type *)(void *)((char *)(link_at)-offsetof(type, member)))

static inline void list_init(struct link *head)
{
    head->prev = head->next = head;
}
static inline bool list_empty(const struct link *head)
{
    return head->next == head;
}
/* At the end of the ring. */
static inline void list_add(struct link *head, struct link *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}
static inline void list_add_front(struct link *head, struct link *link)
{
    list_add(head->next, link);
}
/* An unlinked link may be removed again. */
static inline void list_remove(struct link *link)
{
    if (link->next == NULL)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->prev = link->next = NULL;
}
static inline struct link *list_first(const struct link *head)
{
    return head->next == head ? NULL : head->next;
}

#endif
