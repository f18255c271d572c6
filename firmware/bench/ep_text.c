/* The MLPerf Tiny text protocol. With EP_BENCH_TEXT=0 only the banner and m-ready are left, for images
 * whose flash is measured; frames do everything else. */
#include "ep_text.h"

#include <stdbool.h>

#include "ep_bench_model.h"
#include "ep_port.h"
#include "ep_print.h"
#include "ep_run.h"
#include "ep_string.h"
#include "ep_wire.h"

#define EP_TEXT_READY "m-ready\r\n"
#define EP_TEXT_BANNER "m-timestamp-mode-performance\r\nm-init-done\r\n" EP_TEXT_READY

#if !EP_BENCH_TEXT

void ep_text_banner(void) {
    ep_port_write(EP_TEXT_BANNER, sizeof EP_TEXT_BANNER - 1u);
}

void ep_text_run(char *line) {
    (void)line;
    ep_port_write(EP_TEXT_READY, sizeof EP_TEXT_READY - 1u);
}

#else

/* The profile string by which runners recognise this protocol. */
#define EP_TEXT_PROFILE "ULPMark for tinyML Firmware V0.0.1"
#define EP_WARMUP_DEFAULT 10u
#define EP_PRINT_COLUMNS 8u

static const ep_bench_model *const ep_model = &ep_bench_model_instance;
static const char ep_end[] = "]\r\n";
static uint32_t ep_sample_bytes; /* of ep_bench_text_instance.score's sample that are here */

static void ep_timestamp(void) {
    uint32_t rest;
    uint32_t unused;
    uint64_t seconds = ep_divide(ep_port_ticks(), ep_port_ticks_hz(), &rest);
    ep_say("m-lap-us-");
    ep_say_decimal(
        seconds * 1000000u + ep_divide((uint64_t)rest * 1000000u, ep_port_ticks_hz(), &unused), 1u);
    ep_say("\r\n");
}

/* Cuts the next word off *rest; NULL when there is none. */
static char *ep_word(char **rest) {
    char *word = *rest;
    char *end;
    while (*word == ' ') {
        word++;
    }
    end = word;
    while (*end != '\0' && *end != ' ') {
        end++;
    }
    *rest = *end == '\0' ? end : end + 1;
    *end = '\0';
    return *word == '\0' ? NULL : word;
}

/* A decimal number below a thousand million, or -1. */
static int32_t ep_number(const char *word) {
    int32_t value = 0;
    int digits = 0;
    for (; *word >= '0' && *word <= '9' && digits < 9; word++, digits++) {
        value = value * 10 + (*word - '0');
    }
    return *word == '\0' && digits > 0 ? value : -1;
}

static int ep_hex(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* Bytes of one sample as db% carries it. */
static uint32_t ep_db_total(void) {
    const ep_bench_score *score = ep_bench_text_instance.score;
    return score != NULL ? (uint32_t)(score->count * sizeof(float)) : ep_input_total();
}

/* Bytes of the sample that are here. */
static uint32_t *ep_db_count(void) {
    return ep_bench_text_instance.score != NULL ? &ep_sample_bytes : &ep_run.verified;
}

static void ep_db_load(const char *word) {
    int32_t bytes = word != NULL ? ep_number(word) : -1;
    if (bytes < 0 || (uint32_t)bytes != ep_db_total()) {
        ep_say("e-[This model takes ");
        ep_say_decimal(ep_db_total(), 1u);
        ep_say(" bytes]\r\n");
        return;
    }
    ep_input_seek(0u);
    ep_run.verified = 0u;
    ep_sample_bytes = 0u;
    ep_say("m-[Expecting ");
    ep_say_decimal((uint32_t)bytes, 1u);
    ep_say(" bytes]\r\n");
}

static uint8_t ep_flip(void) {
    return ep_bench_text_instance.input == EP_TEXT_INPUT_U8 ? 0x80u : 0u;
}

static void ep_db_put(uint32_t at, uint8_t byte) {
    if (ep_bench_text_instance.score != NULL) {
        ((uint8_t *)ep_bench_text_instance.score->sample)[at] = byte;
    } else {
        ep_input_put(byte ^ ep_flip());
    }
}

static uint8_t ep_db_get(uint32_t at) {
    if (ep_bench_text_instance.score != NULL) {
        return ((const uint8_t *)ep_bench_text_instance.score->sample)[at];
    }
    return ep_input_get(at) ^ ep_flip();
}

static void ep_db_data(const char *digits) {
    uint32_t total = ep_db_total();
    uint32_t *count = ep_db_count();
    if ((ep_length(digits) & 1u) != 0u) {
        ep_say("e-[Odd number of hex digits]\r\n");
        return;
    }
    ep_input_seek(ep_run.verified);
    for (; *digits != '\0' && *count < total; digits += 2) {
        int high = ep_hex(digits[0]);
        int low = ep_hex(digits[1]);
        if (high < 0 || low < 0) {
            ep_say("e-[Invalid hex digit]\r\n");
            return;
        }
        ep_db_put(*count, (uint8_t)(((uint32_t)high << 4) | (uint32_t)low));
        ++*count;
        if (*count == total) {
            ep_say("m-load-done\r\n");
        }
    }
}

static void ep_db_print(char *rest) {
    static const char hex[] = "0123456789abcdef";
    const char *count = ep_word(&rest);
    const char *offset = ep_word(&rest);
    uint32_t i = offset != NULL ? (uint32_t)ep_number(offset) : 0u;
    uint32_t here = *ep_db_count();
    uint32_t left = count != NULL ? (uint32_t)ep_number(count) : here;
    uint32_t column = 0u;
    for (; i < here && left > 0u; i++, left--) {
        uint8_t byte = ep_db_get(i);
        char pair[2];
        pair[0] = hex[byte >> 4];
        pair[1] = hex[byte & 15u];
        ep_say(column == 0u ? "m-buffer-" : "-");
        ep_port_write(pair, sizeof pair);
        column++;
        if (column == EP_PRINT_COLUMNS || left == 1u || i + 1u == here) {
            ep_say("\r\n");
            column = 0u;
        }
    }
}

static void ep_db(char *rest) {
    char *word = ep_word(&rest);
    if (word == NULL) {
        ep_say("e-[Command 'db' requires a subcommand]\r\n");
    } else if (ep_same(word, "load")) {
        ep_db_load(ep_word(&rest));
    } else if (ep_same(word, "print")) {
        ep_db_print(rest);
    } else {
        ep_db_data(word);
    }
}

/* Runs `count` times; the first run of a loaded input is the one whose result counts, and as it
 * uses the input up, its result is said before the next run overwrites it. Returns false when a run
 * failed. */
static bool ep_repeat(uint32_t count, bool *fresh, bool last) {
    for (; count > 0u; count--) {
        ep_run_once();
        if (ep_run.status != EP_OK) {
            ep_say("e-[Inference failed with status ");
            ep_say_decimal((uint32_t)ep_run.status, 1u);
            ep_say(ep_end);
            return false;
        }
        if (*fresh && !(last && count == 1u)) {
            ep_say_results();
        }
        ep_run.result = ep_run.result && *fresh;
        *fresh = false;
    }
    return true;
}

static void ep_infer(char *rest) {
    const char *word = ep_word(&rest);
    int32_t count = word != NULL ? ep_number(word) : 1;
    int32_t warm = (int32_t)EP_WARMUP_DEFAULT;
    bool fresh = true;
    bool done;
    word = ep_word(&rest);
    warm = word != NULL ? ep_number(word) : warm;
    if (count <= 0 || warm < 0) {
        ep_say("e-[Inference iterations must be >0, warmup >=0]\r\n");
        return;
    }
    if (ep_bench_text_instance.score != NULL && ep_sample_bytes == ep_db_total()) {
        ep_bench_text_instance.score->load(); /* this one is not used up */
        ep_run.verified = ep_input_total();
    }
    if (ep_run.verified != ep_input_total()) {
        ep_say("e-[No input: an inference uses it up, load it again]\r\n");
        return;
    }
    ep_say("m-warmup-start-");
    ep_say_decimal((uint32_t)warm, 1u);
    ep_say("\r\n");
    /* several timed runs without warm-up: one more before them yields the result */
    if (!ep_repeat(warm == 0 && count > 1 ? 1u : (uint32_t)warm, &fresh, false)) {
        return;
    }
    ep_say("m-warmup-done\r\nm-infer-start-");
    ep_say_decimal((uint32_t)count, 1u);
    ep_say("\r\n");
    ep_port_flush();
    ep_timestamp();
    ep_port_flush();
    done = ep_repeat((uint32_t)count, &fresh, true);
    ep_timestamp();
    ep_say("m-infer-done\r\n");
    if (done && ep_run.result) {
        ep_say_results();
    }
}

static void ep_help(char *rest) {
    (void)rest;
    ep_say(EP_TEXT_PROFILE "\r\n\r\n"
                           "name, timestamp, profile, help\r\n"
                           "db load N, db HH.., db print [N] [offset]\r\n"
                           "infer N [W], results\r\n"
                           "ep: build id, framed extension\r\n");
}

static void ep_ready(void) {
    ep_say(EP_TEXT_READY);
}

void ep_text_banner(void) {
    ep_say(EP_TEXT_BANNER);
}

static void ep_profile(char *rest) {
    (void)rest;
    ep_say("m-profile-[" EP_TEXT_PROFILE "]\r\nm-model-[");
    ep_say(ep_model->task);
    ep_say(ep_end);
}

static void ep_extension(char *rest) {
    (void)rest;
    ep_say("m-ep-[");
    ep_say_decimal(EP_PROTOCOL_VERSION, 1u);
    ep_say(",");
    ep_say(ep_build_id);
    ep_say(ep_end);
}

static void ep_name(char *rest) {
    (void)rest;
    ep_say("m-name-dut-[edgepack]\r\n");
}

static void ep_stamp(char *rest) {
    (void)rest;
    ep_timestamp();
}

static void ep_show(char *rest) {
    (void)rest;
    ep_say_results();
}

typedef struct {
    const char *word;
    void (*run)(char *rest);
} ep_command;

/* The first EP_GREETINGS are the commands by which a text host introduces itself. */
#define EP_GREETINGS 4u
static const ep_command ep_commands[] = {
    {"name", ep_name}, {"profile", ep_profile}, {"timestamp", ep_stamp}, {"help", ep_help},
    {"db", ep_db},     {"infer", ep_infer},     {"results", ep_show},    {"ep", ep_extension},
};

static const ep_command *ep_find(const char *word, size_t count) {
    size_t i;
    for (i = 0u; i < count; i++) {
        if (ep_same(word, ep_commands[i].word)) {
            return &ep_commands[i];
        }
    }
    return NULL;
}

bool ep_text_takes_over(const char *line) {
    if (ep_find(line, EP_GREETINGS) == NULL) {
        return false;
    }
    ep_run.result = false; /* of another host's input */
    return true;
}

void ep_text_run(char *line) {
    char *rest = line;
    const char *word = ep_word(&rest);
    if (word != NULL) { /* an empty command is answered: it asks whether somebody listens */
        const ep_command *entry = ep_find(word, sizeof ep_commands / sizeof ep_commands[0]);
        if (entry != NULL) {
            entry->run(rest);
        } else {
            ep_say("e-[Unknown command: ");
            ep_say(word);
            ep_say(ep_end);
        }
    }
    ep_ready();
}

#endif
