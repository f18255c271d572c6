/*
 * The block by which the RP2350's ROM knows an Arm image: one item, IMAGE_TYPE, then the end of the
 * loop, which leads back to this block. RP2350 datasheet 5.9 (metadata block details); the ROM
 * looks for it in the first 4 KiB and enters through the vector table at the start of the image.
 */
#include <stdint.h>

#define BLOCK_START 0xFFFFDED3u
#define BLOCK_END 0xAB123579u
#define IMAGE_TYPE 0x42u /* with a size of one word */
#define LAST 0xFFu       /* with the size of all items in words */
#define EXE 0x0001u
#define SECURE 0x0020u
#define ARM 0x0000u
#define RP2350 0x1000u

extern const uint32_t ep_image_def[5];

__attribute__((section(".ep_boot"), used)) const uint32_t ep_image_def[5] = {
    BLOCK_START,      IMAGE_TYPE | (1u << 8) | ((EXE | SECURE | ARM | RP2350) << 16),
    LAST | (1u << 8), 0u, /* distance to the next block: itself */
    BLOCK_END,
};
