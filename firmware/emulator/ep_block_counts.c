/* A plugin for QEMU: how often each basic block ran during each inference.
 *
 * Arguments: start=ADDRESS,stop=ADDRESS,out=FILE. A run begins when the block at `start` is entered
 * and ends when the block at `stop` is; everything outside is not counted. For each run FILE gets
 *
 *     run
 *     FIRST END LAST COUNT TAKEN        (addresses in hexadecimal, one line per block that ran)
 *
 * FIRST and LAST are the addresses of its first and last instruction, END the one behind it, TAKEN
 * how often the block that ran next did not begin at END.
 *
 * This is a program of the host, not of a board. The prototypes below are those of QEMU's
 * documented plugin interface, "QEMU TCG Plugins"; QEMU itself exports the functions. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { EP_CB_NO_REGS = 0 }; /* the callback reads no register of the guest */

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
                                           void (*call)(uint64_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
                                          void (*call)(unsigned int cpu, void *user), int flags,
                                          void *user);

#define EP_EXPORT __attribute__((visibility("default")))

EP_EXPORT extern int qemu_plugin_version;
EP_EXPORT int qemu_plugin_version = EP_PLUGIN_API;
EP_EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

typedef struct ep_block {
    uint64_t first;
    uint64_t last;
    uint64_t end;
    uint64_t count;
    uint64_t taken;
    struct ep_block *next;
} ep_block;

static struct {
    uint64_t start;
    uint64_t stop;
    FILE *out;
    ep_block *blocks;
    ep_block *before; /* the block that ran last in this run, or NULL */
    bool running;
} ep_counts;

static void ep_begin(void) {
    ep_block *block;
    for (block = ep_counts.blocks; block != NULL; block = block->next) {
        block->count = 0u;
        block->taken = 0u;
    }
    ep_counts.before = NULL;
    ep_counts.running = true;
}

static void ep_finish(void) {
    const ep_block *block;
    ep_counts.running = false;
    (void)fputs("run\n", ep_counts.out);
    for (block = ep_counts.blocks; block != NULL; block = block->next) {
        if (block->count > 0u) {
            (void)fprintf(ep_counts.out,
                          "%" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIu64 " %" PRIu64 "\n",
                          block->first, block->end, block->last, block->count, block->taken);
        }
    }
    (void)fflush(ep_counts.out); /* the emulator ends by a signal */
}

static void ep_executed(unsigned int cpu, void *user) {
    ep_block *block = (ep_block *)user;
    (void)cpu;
    if (!ep_counts.running && block->first != ep_counts.start) {
        return;
    }
    if (block->first == ep_counts.start) {
        ep_begin();
    }
    if (ep_counts.before != NULL && ep_counts.before->end != block->first) {
        ep_counts.before->taken++;
    }
    if (block->first == ep_counts.stop) {
        ep_finish();
        return;
    }
    block->count++;
    ep_counts.before = block;
}

static void ep_translated(uint64_t id, struct qemu_plugin_tb *tb) {
    size_t length = qemu_plugin_tb_n_insns(tb);
    const struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(tb, length - 1u);
    ep_block *block = (ep_block *)calloc(1u, sizeof *block);
    (void)id;
    if (block == NULL) {
        (void)fputs("ep_block_counts: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    block->first = qemu_plugin_tb_vaddr(tb);
    block->last = qemu_plugin_insn_vaddr(last);
    block->end = block->last + qemu_plugin_insn_size(last);
    block->next = ep_counts.blocks;
    ep_counts.blocks = block;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, ep_executed, EP_CB_NO_REGS, block);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
    int i;
    (void)info;
    for (i = 0; i < argc; i++) {
        if (strncmp(argv[i], "start=", 6u) == 0) {
            ep_counts.start = strtoull(argv[i] + 6, NULL, 0);
        } else if (strncmp(argv[i], "stop=", 5u) == 0) {
            ep_counts.stop = strtoull(argv[i] + 5, NULL, 0);
        } else if (strncmp(argv[i], "out=", 4u) == 0) {
            ep_counts.out = fopen(argv[i] + 4, "w");
        }
    }
    if (ep_counts.out == NULL) {
        (void)fputs("ep_block_counts: cannot write the file that out= names\n", stderr);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, ep_translated);
    return 0;
}
