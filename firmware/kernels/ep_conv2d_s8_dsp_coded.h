/* CONV_2D of ep_conv2d_s8_dsp.h with coded weights (ep_coded.h). */
#ifndef EP_CONV2D_S8_DSP_CODED_H
#define EP_CONV2D_S8_DSP_CODED_H

#include "ep_coded.h"
#include "ep_conv2d_s8_dsp.h"

EP_CODED_CONV(ep_conv2d_s8_dsp, uint32_t, uint32_t)

#endif
