/* What a phase of the pipeline answers. All the ifs about "what now" stand in pipeline.c. */
#ifndef PC_PROXY_VERDICT_H
#define PC_PROXY_VERDICT_H

enum verdict {
    VERDICT_NEXT,   /* go on with the next phase */
    VERDICT_WAIT,   /* stand still: the awaited thing resumes the pipeline */
    VERDICT_ANSWER, /* a response is ready: skip to RESPOND */
    VERDICT_CLOSE,  /* no answer is owed, or none is possible: skip to LOG */
};

#endif
