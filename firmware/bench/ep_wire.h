/* The numbers of the framed extension. docs/protocol.md says what they mean;
 * edgepack/link/frames.py has the same table, and a test compares the two. */
#ifndef EP_WIRE_H
#define EP_WIRE_H

#define EP_PROTOCOL_VERSION 2u
#define EP_FRAME_START 0xA5u
#define EP_FRAME_END 0x00u

/* Requests, host to device. The header is type, sequence number (2 bytes) and the arguments. */
#define EP_REQ_HELLO 0x01u /* - */
#define EP_REQ_WRITE 0x02u /* offset u32, then input bytes */
/* offset u32, crc u32, flags u8, repeat u16, layer u16, output u8, then input bytes */
#define EP_REQ_INFER 0x03u
#define EP_REQ_READ 0x04u   /* offset u32, length u32: output bytes again */
#define EP_REQ_INIT 0x05u   /* flags u8 */
#define EP_REQ_MEMORY 0x06u /* - */
#define EP_REQ_BAUD 0x07u   /* rate u32 */
#define EP_REQ_RESET 0x08u  /* - */

/* Bytes of a request header with its type and sequence number. */
#define EP_HEADER_PLAIN 3u
#define EP_HEADER_WRITE 7u
#define EP_HEADER_INFER 17u
#define EP_HEADER_READ 11u
#define EP_HEADER_INIT 4u
#define EP_HEADER_BAUD 7u

#define EP_INFER_LAYERS 0x01u /* one LAYER frame per layer output: ticks and CRC */
#define EP_INFER_DUMP 0x02u   /* the bytes of the output `output` of layer `layer` */
#define EP_INFER_HOLD 0x80u   /* do not run: ACK when the whole input has arrived */
#define EP_INIT_PAINT 0x01u   /* paint stack and arena before the model is initialised */

/* Replies, device to host. */
#define EP_REP_INFO 0x81u
#define EP_REP_ACK 0x82u
#define EP_REP_NAK 0x83u
#define EP_REP_START 0x84u
#define EP_REP_LAYER 0x85u
#define EP_REP_DATA 0x86u
#define EP_REP_RESULT 0x87u
#define EP_REP_TIMES 0x88u
#define EP_REP_MEMORY 0x89u

/* Why a request was refused; NAK carries code u8 and argument u32. */
#define EP_NAK_FRAME 1u       /* a damaged frame; argument: verified bytes of the input */
#define EP_NAK_INCOMPLETE 2u  /* argument: verified bytes of the input */
#define EP_NAK_INPUT 3u       /* the input in memory has another CRC; argument: that CRC */
#define EP_NAK_NO_HELLO 4u    /* the device has restarted, or was used over the text protocol */
#define EP_NAK_UNKNOWN 5u     /* argument: the request type */
#define EP_NAK_ARGUMENT 6u    /* argument: the largest value allowed */
#define EP_NAK_NO_RESULT 7u   /* no result of this sequence number is held */
#define EP_NAK_UNSUPPORTED 8u /* this board or runtime cannot do it */
#define EP_NAK_MODEL 9u       /* the model failed to initialise; argument: ep_status */

#define EP_DATA_OUTPUT 0u /* source of a DATA frame: the model's outputs, concatenated */
#define EP_DATA_LAYER 1u  /* the layer that the last LAYER frame named */
/* Most data bytes of one DATA or RESULT frame. */
#define EP_DATA_CHUNK 256u

#endif
