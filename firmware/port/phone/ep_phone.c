/*
 * The benchmark program for phones and other Linux computers: samples from a file, outputs into a
 * file, times into another. It talks to nobody, so that nothing disturbs what it measures.
 *
 * Usage: ep_phone --in FILE [--out FILE] [--times FILE --min-runs N --min-ms N --max-ms N
 *                 --warmup-ms N] [--layers FILE] [--cpus HEXMASK] [--variant NAME] [--limit SECONDS]
 *   --in FILE        raw inputs, sample after sample; required
 *   --out FILE       raw outputs, sample after sample: one inference each, in order, from the
 *                    model's initial state
 *   --times FILE     then time inferences over the samples in turn: nanoseconds, 64 bits each
 *   --layers FILE    then times of each layer, LAYER_RUNS inferences of `layers` values each
 *   --cpus HEXMASK   run on these cores only
 *   --variant NAME   of the kernels; without it the best that the core can run
 *   --limit SECONDS  end after that long, whatever happens
 *
 * Standard output has one fact a line, `ep NAME VALUE...`, and ends with `ep done`. Without that
 * line the run is void. Exit code 0, 2 for wrong usage, 3 for a file, 4 for the model.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ep_bench_model.h"
#include "ep_crc32.h"

#define MAX_RUNS 100000u
#define MAX_LAYERS 4096u
#define LAYER_RUNS 15u
#define EXIT_USAGE 2
#define EXIT_FILE 3
#define EXIT_MODEL 4

/* The same model compiled for cores with more instructions, where the build has it. */
#ifdef EP_PHONE_DOTPROD
extern const ep_bench_model ep_bench_model_dotprod;
#endif

typedef struct {
    const char *name;
    const ep_bench_model *model;
    unsigned long hwcap; /* all bits that the core must have */
} ep_variant;

/* HWCAP_ASIMDDP of Linux, arch/arm64/include/uapi/asm/hwcap.h: SDOT and UDOT. */
#define HWCAP_DOTPROD (1uL << 20)

static const ep_variant variants[] = {
#ifdef EP_PHONE_DOTPROD
    {"dotprod", &ep_bench_model_dotprod, HWCAP_DOTPROD},
#endif
    {"base", &ep_bench_model_instance, 0uL}};

typedef struct {
    const char *in, *out, *times, *layers, *variant;
    unsigned long cpus;
    unsigned min_runs, min_ms, max_ms, warmup_ms, limit;
} ep_options;

static const ep_bench_model *model;
static const uint8_t *samples;
static size_t sample_bytes;
static size_t sample_count;
static uint64_t run_ns[MAX_RUNS];
static uint64_t layer_ns[MAX_LAYERS];
static uint64_t layer_from;

static uint64_t now_ns(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void fail(int code, const char *what, const char *name, const char *why) {
    (void)printf("ep error %s %s: %s\n", what, name, why);
    (void)fflush(stdout);
    exit(code);
}

static void usage(const char *what) {
    (void)fprintf(stderr, "ep_phone: %s; see the head of firmware/port/phone/ep_phone.c\n", what);
    exit(EXIT_USAGE);
}

static unsigned long number(const char *text, int base) {
    char *end;
    const unsigned long value = strtoul(text, &end, base);

    if (*text == '\0' || *end != '\0') {
        usage("not a number");
    }
    return value;
}

static ep_options parse(int argc, char **argv) {
    ep_options o = {NULL, NULL, NULL, NULL, NULL, 0uL, 50u, 1000u, 10000u, 500u, 0u};
    int i;

    for (i = 1; i + 1 < argc; i += 2) {
        const char *const name = argv[i];
        const char *const value = argv[i + 1];

        if (strcmp(name, "--in") == 0) {
            o.in = value;
        } else if (strcmp(name, "--out") == 0) {
            o.out = value;
        } else if (strcmp(name, "--times") == 0) {
            o.times = value;
        } else if (strcmp(name, "--layers") == 0) {
            o.layers = value;
        } else if (strcmp(name, "--variant") == 0) {
            o.variant = value;
        } else if (strcmp(name, "--cpus") == 0) {
            o.cpus = number(value, 16);
        } else if (strcmp(name, "--min-runs") == 0) {
            o.min_runs = (unsigned)number(value, 10);
        } else if (strcmp(name, "--min-ms") == 0) {
            o.min_ms = (unsigned)number(value, 10);
        } else if (strcmp(name, "--max-ms") == 0) {
            o.max_ms = (unsigned)number(value, 10);
        } else if (strcmp(name, "--warmup-ms") == 0) {
            o.warmup_ms = (unsigned)number(value, 10);
        } else if (strcmp(name, "--limit") == 0) {
            o.limit = (unsigned)number(value, 10);
        } else {
            usage("unknown option");
        }
    }
    if (i != argc) {
        usage("an option lacks its value");
    }
    return o;
}

static void choose(const char *wanted) {
    const unsigned long hwcap = getauxval(AT_HWCAP);
    size_t i;

    for (i = 0u; i < sizeof variants / sizeof variants[0]; i++) {
        const bool able = (hwcap & variants[i].hwcap) == variants[i].hwcap;

        if (wanted == NULL ? able : strcmp(wanted, variants[i].name) == 0) {
            if (!able) {
                fail(EXIT_USAGE, "variant", wanted, "this core lacks its instructions");
            }
            model = variants[i].model;
            (void)printf("ep variant %s\nep hwcap %lx\n", variants[i].name, hwcap);
            return;
        }
    }
    usage("no such variant");
}

static void pin(unsigned long cpus) {
    cpu_set_t set;
    unsigned i;

    if (cpus == 0uL) {
        return;
    }
    CPU_ZERO(&set);
    for (i = 0u; i < 8u * sizeof cpus; i++) {
        if ((cpus >> i & 1uL) != 0uL) {
            CPU_SET(i, &set);
        }
    }
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        (void)printf("ep unpinned %s\n", strerror(errno)); /* a core that is switched off */
    }
}

static void map_samples(const char *path) {
    struct stat status;
    const int file = open(path, O_RDONLY);

    if (file < 0 || fstat(file, &status) != 0) {
        fail(EXIT_FILE, "read", path, strerror(errno));
    }
    if (status.st_size <= 0 || sample_bytes == 0u || (size_t)status.st_size % sample_bytes != 0u) {
        fail(EXIT_FILE, "read", path, "not a whole number of samples");
    }
    sample_count = (size_t)status.st_size / sample_bytes;
    samples = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (samples == MAP_FAILED) {
        fail(EXIT_FILE, "map", path, strerror(errno));
    }
    (void)close(file);
    (void)printf("ep inputs %zu %08" PRIx32 "\n", sample_count,
                 ~ep_crc32_run(EP_CRC32_INIT, samples, (size_t)status.st_size));
}

static void load(size_t index) {
    const uint8_t *from = samples + index * sample_bytes;
    uint32_t i;

    for (i = 0u; i < model->input_count; i++) {
        memcpy(model->input(i), from, model->input_bytes[i]);
        from += model->input_bytes[i];
    }
}

static void start(void) {
    const ep_status status = model->init();

    if (status != EP_OK) {
        (void)printf("ep error model init: status %d\n", (int)status);
        (void)fflush(stdout);
        exit(EXIT_MODEL);
    }
}

static void invoke(size_t index) {
    const ep_status status = model->invoke();

    if (status != EP_OK) {
        (void)printf("ep error model sample %zu: status %d\n", index, (int)status);
        (void)fflush(stdout);
        exit(EXIT_MODEL);
    }
}

static FILE *create(const char *path) {
    FILE *const file = fopen(path, "wb");

    if (file == NULL) {
        fail(EXIT_FILE, "write", path, strerror(errno));
    }
    return file;
}

static void put(FILE *file, const char *path, const void *data, size_t bytes) {
    if (fwrite(data, 1u, bytes, file) != bytes) {
        fail(EXIT_FILE, "write", path, strerror(errno));
    }
}

static void finish(FILE *file, const char *path) {
    if (fclose(file) != 0) {
        fail(EXIT_FILE, "write", path, strerror(errno));
    }
}

static void run_samples(const char *path) {
    FILE *const file = create(path);
    uint32_t crc = EP_CRC32_INIT;
    size_t i;

    start();
    for (i = 0u; i < sample_count; i++) {
        uint32_t output;

        load(i);
        invoke(i);
        for (output = 0u; output < model->output_count; output++) {
            const void *const data = model->output(output);

            put(file, path, data, model->output_bytes[output]);
            crc = ep_crc32_run(crc, data, model->output_bytes[output]);
        }
    }
    finish(file, path);
    (void)printf("ep outputs %zu %08" PRIx32 "\n", sample_count, ~crc);
}

/* The frequency of a core in kHz as cpufreq sees it now; 0 where the phone does not tell. */
static unsigned long frequency(int cpu) {
    char path[96];
    unsigned long khz = 0uL;
    FILE *file;

    (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq",
                   cpu);
    file = fopen(path, "r");
    if (file != NULL) {
        if (fscanf(file, "%lu", &khz) != 1) {
            khz = 0uL;
        }
        (void)fclose(file);
    }
    return khz;
}

static uint64_t timed(size_t index) {
    uint64_t from;

    load(index);
    from = now_ns();
    invoke(index);
    return now_ns() - from;
}

static void run_timed(const ep_options *o) {
    FILE *const file = create(o->times);
    const uint64_t warm_until = now_ns() + (uint64_t)o->warmup_ms * 1000000u;
    unsigned long moved = 0uL;
    uint64_t begun;
    size_t warmed = 0u;
    size_t n = 0u;
    int cpu;

    do {
        (void)timed(warmed % sample_count);
        warmed++;
    } while (now_ns() < warm_until);
    cpu = sched_getcpu();
    (void)printf("ep clock before %d %lu\n", cpu, frequency(cpu));
    begun = now_ns();
    while (n < MAX_RUNS) {
        const uint64_t passed = now_ns() - begun;
        const int at = sched_getcpu();

        if ((n >= o->min_runs && passed >= (uint64_t)o->min_ms * 1000000u) ||
            (n > 0u && passed >= (uint64_t)o->max_ms * 1000000u)) {
            break;
        }
        moved += at != cpu ? 1uL : 0uL;
        cpu = at;
        run_ns[n] = timed(n % sample_count);
        n++;
    }
    (void)printf("ep clock after %d %lu\nep timed %zu warmup %zu moved %lu\n", cpu, frequency(cpu),
                 n, warmed, moved);
    put(file, o->times, run_ns, n * sizeof run_ns[0]);
    finish(file, o->times);
}

static void hook(void *user, int layer, int output, const void *data, size_t bytes) {
    const uint64_t at = now_ns();

    (void)user;
    (void)output;
    (void)data;
    (void)bytes;
    if (layer >= 0 && (unsigned)layer < MAX_LAYERS) {
        layer_ns[layer] += at - layer_from;
    }
    layer_from = now_ns();
}

static void run_layers(const char *path) {
    const size_t layers = model->layer_count < MAX_LAYERS ? model->layer_count : 0u;
    FILE *const file = create(path);
    unsigned run;

    model->set_hook(hook, NULL);
    for (run = 0u; run < LAYER_RUNS; run++) {
        memset(layer_ns, 0, sizeof layer_ns);
        load(run % sample_count);
        layer_from = now_ns();
        invoke(run % sample_count);
        put(file, path, layer_ns, layers * sizeof layer_ns[0]);
    }
    model->set_hook(NULL, NULL);
    finish(file, path);
    (void)printf("ep layers %zu %u\n", layers, LAYER_RUNS);
}

int main(int argc, char **argv) {
    const ep_options o = parse(argc, argv);
    struct rusage used;
    uint32_t i;

    if (o.limit != 0u) {
        (void)alarm(o.limit);
    }
    choose(o.variant);
    pin(o.cpus);
    for (i = 0u; i < model->input_count; i++) {
        sample_bytes += model->input_bytes[i];
    }
    (void)printf("ep build %s\n", ep_build_id);
    if (o.in == NULL) {
        usage("--in is missing");
    }
    map_samples(o.in);
    if (o.out != NULL) {
        run_samples(o.out);
    } else {
        start();
    }
    if (o.times != NULL) {
        run_timed(&o);
    }
    if (o.layers != NULL) {
        run_layers(o.layers);
    }
    if (getrusage(RUSAGE_SELF, &used) == 0) {
        (void)printf("ep memory %ld\n", used.ru_maxrss);
    }
    (void)printf("ep done\n");
    return fflush(stdout) == 0 ? 0 : EXIT_FILE;
}
