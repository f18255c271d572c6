/* CONV_2D of ep_conv2d_s8_mve.h with coded weights (ep_coded.h). */
#ifndef EP_CONV2D_S8_MVE_CODED_H
#define EP_CONV2D_S8_MVE_CODED_H

#include "ep_coded.h"
#include "ep_conv2d_s8_mve.h"

EP_CODED_CONV(ep_conv2d_s8_mve, int8_t, int8_t)

#endif
