/* The MLPerf Tiny text protocol: commands that end in '%', replies that end in m-ready. */
#ifndef EP_TEXT_H
#define EP_TEXT_H

#include <stdbool.h>

#ifndef EP_BENCH_TEXT
#define EP_BENCH_TEXT 1 /* 0: any command is answered m-ready and does nothing */
#endif

#define EP_TEXT_MAX 80u

/* What the device says when it is up. */
void ep_text_banner(void);
/* Whether the line is a command by which a text host introduces itself: it takes the device over
 * from a framed session, whose result is forgotten. */
bool ep_text_takes_over(const char *line);
/* Runs one command; `line` ends in a NUL and is changed while it is parsed. */
void ep_text_run(char *line);

#endif
