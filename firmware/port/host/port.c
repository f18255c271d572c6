/*
 * The bench firmware as a process: the protocol on a TCP socket of 127.0.0.1.
 *
 * Usage: bench [--port N] [--lifeline]
 *   --port N     the port to listen on; 0 (the default) takes a free one. "port N" is printed once
 * it listens.
 *   --lifeline   end when standard input reaches its end, that is when the process that holds the
 * other side of the pipe is gone; a peer that leaves may then come back. Without it the process
 * ends when its first peer leaves. The process also ends when its parent dies. Exit code 0 in these
 * cases, 1 when it can't listen, 2 for wrong usage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ep_port.h"

#define STACK_BYTES ((size_t)4u << 20)
#define POLL_MS 100
#define RX_BYTES 65536u

static uint8_t stack[STACK_BYTES] __attribute__((aligned(4096)));
static uint8_t rx[RX_BYTES];
static size_t rx_head;
static size_t rx_tail;
static int listener = -1;
static int peer = -1;
static bool lifeline;
static pid_t parent;
static char **arguments;

static void say(int fd, const char *text) {
    size_t left = strlen(text);

    while (left > 0u) {
        const ssize_t n = write(fd, text, left);

        if (n < 0) {
            return;
        }
        text += n;
        left -= (size_t)n;
    }
}

static char *decimal(unsigned value, char *end) {
    *--end = '\0';
    do {
        *--end = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0u);
    return end;
}

/* Waits until `fd` is readable or `timeout_ms` (-1: for ever) is over; ends the process when nobody
 * is left. */
static bool readable(int fd, int timeout_ms) {
    for (;;) {
        struct pollfd waits[2];
        nfds_t count = 1u;
        int slice = POLL_MS;
        int ready;

        waits[0].fd = fd;
        waits[0].events = POLLIN;
        if (lifeline) {
            waits[1].fd = STDIN_FILENO;
            waits[1].events = POLLIN;
            count = 2u;
        }
        if (timeout_ms >= 0 && timeout_ms < slice) {
            slice = timeout_ms;
        }
        ready = poll(waits, count, slice);
        if (getppid() != parent) {
            _exit(0);
        }
        if (ready < 0 && errno != EINTR) {
            _exit(1);
        }
        if (ready > 0 && count == 2u && waits[1].revents != 0) {
            char byte;

            if (read(STDIN_FILENO, &byte, 1u) <= 0) {
                _exit(0);
            }
        }
        if (ready > 0 && waits[0].revents != 0) {
            return true;
        }
        if (timeout_ms >= 0) {
            return false;
        }
    }
}

static void accept_peer(void) {
    const int on = 1;

    while (peer < 0) {
        (void)readable(listener, -1);
        peer = accept(listener, NULL, NULL);
    }
    (void)setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void lose_peer(void) {
    (void)close(peer);
    peer = -1;
    if (!lifeline) {
        _exit(0);
    }
}

static void fill(void) {
    ssize_t n;

    if (peer < 0) {
        accept_peer();
    }
    n = recv(peer, rx, sizeof rx, MSG_DONTWAIT);
    if (n > 0) {
        rx_head = (size_t)n;
        rx_tail = 0u;
    } else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
        lose_peer();
    }
}

void ep_port_init(void) {
    if (peer < 0) {
        accept_peer();
    }
}

int ep_port_getc(void) {
    if (rx_tail == rx_head) {
        fill();
    }
    return rx_tail < rx_head ? (int)rx[rx_tail++] : -1;
}

uint32_t ep_port_rx_lost(void) {
    return 0u;
}

void ep_port_write(const void *data, size_t bytes) {
    const uint8_t *from = (const uint8_t *)data;

    while (bytes > 0u && peer >= 0) {
        const ssize_t n = send(peer, from, bytes, 0);

        if (n < 0) {
            if (errno != EINTR) {
                lose_peer();
            }
            continue;
        }
        from += n;
        bytes -= (size_t)n;
    }
}

void ep_port_flush(void) {
    /* The kernel has every byte already. */
}

uint32_t ep_port_max_baud(void) {
    return 0u;
}

void ep_port_set_baud(uint32_t baud) {
    (void)baud;
}

uint64_t ep_port_ticks(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint32_t ep_port_millis(void) {
    return (uint32_t)(ep_port_ticks() / 1000000u);
}

uint32_t ep_port_ticks_hz(void) {
    return 1000000000u;
}

ep_ticks_kind ep_port_ticks_kind(void) {
    return EP_TICKS_TIME;
}

void ep_port_stack_bounds(uint8_t **low, uint8_t **high) {
    *low = stack;
    *high = stack + sizeof stack;
}

uint8_t *ep_port_stack_pointer(void) {
    return (uint8_t *)__builtin_frame_address(0);
}

void ep_port_reset(void) {
    char text[2][16];
    char *again[6];
    size_t count = 0u;

    again[count++] = arguments[0];
    if (lifeline) {
        again[count++] = "--lifeline";
    }
    again[count++] = "--resume";
    again[count++] = decimal((unsigned)listener, text[0] + sizeof text[0]);
    if (peer >= 0) {
        again[count++] = decimal((unsigned)peer, text[1] + sizeof text[1]);
    }
    again[count] = NULL;
    (void)execv("/proc/self/exe", again);
    (void)execv(arguments[0], again);
    _exit(1);
}

void ep_port_idle(void) {
    if (rx_tail == rx_head && peer >= 0) {
        (void)readable(peer, POLL_MS);
    }
}

static unsigned listen_on(unsigned port) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    const int on = 1;

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener, (const struct sockaddr *)&address, size) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        say(STDERR_FILENO, "cannot listen: ");
        say(STDERR_FILENO, strerror(errno));
        say(STDERR_FILENO, "\n");
        exit(1);
    }
    return ntohs(address.sin_port);
}

static unsigned number(const char *text) {
    char *end;
    const unsigned long value = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value > 65535uL) {
        say(STDERR_FILENO, "usage: bench [--port N] [--lifeline]\n");
        exit(2);
    }
    return (unsigned)value;
}

static void *run(void *unused) {
    (void)unused;
    (void)ep_main();
    ep_port_reset();
    return NULL;
}

int main(int argc, char **argv) {
    pthread_attr_t attributes;
    pthread_t thread;
    unsigned port = 0u;
    int i;

    arguments = argv;
    parent = getppid();
    (void)signal(SIGPIPE, SIG_IGN);
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--lifeline") == 0) {
            lifeline = true;
        } else if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) {
            port = number(argv[++i]);
        } else if (strcmp(argv[i], "--resume") == 0 && i + 1 < argc) {
            /* only from ep_port_reset(): the sockets are already there */
            listener = (int)number(argv[++i]);
            if (i + 1 < argc) {
                peer = (int)number(argv[++i]);
            }
        } else {
            say(STDERR_FILENO, "usage: bench [--port N] [--lifeline]\n");
            return 2;
        }
    }
    if (listener < 0) {
        char text[16];

        port = listen_on(port);
        say(STDOUT_FILENO, "port ");
        say(STDOUT_FILENO, decimal(port, text + sizeof text));
        say(STDOUT_FILENO, "\n");
    }
    /* A stack of our own, so that its high-water mark can be painted and measured as on a board. */
    if (pthread_attr_init(&attributes) != 0 ||
        pthread_attr_setstack(&attributes, stack, sizeof stack) != 0 ||
        pthread_create(&thread, &attributes, run, NULL) != 0) {
        say(STDERR_FILENO, "cannot start the firmware's thread\n");
        return 1;
    }
    (void)pthread_join(thread, NULL);
    return 0;
}
