/* FULLY_CONNECTED of ep_fully_connected_s8_dsp.h with coded weights (ep_coded.h). */
#ifndef EP_FULLY_CONNECTED_S8_DSP_CODED_H
#define EP_FULLY_CONNECTED_S8_DSP_CODED_H

#include "ep_coded.h"
#include "ep_fully_connected_s8_dsp.h"

EP_CODED_DENSE(ep_fully_connected_s8_dsp, uint32_t)

#endif
