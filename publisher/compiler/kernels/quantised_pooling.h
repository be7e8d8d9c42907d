/* Means of bytes under a kernel, channels last. */
#pragma once

#include "quantised_convolution.h"
#include "quantised_linear.h"

/* One image. `bottom` and `right` are where padding ends; it counts where `with_padding` says so. */
INLINE void quantised_average(uint8_t *to, const uint8_t *image, Window w, int is_signed, int zero_point, float scale,
                              int bottom, int right, int with_padding, Quanta quanta) {
    for (int place = 0; place < w.out_height * w.out_width; place++, to += w.channels) {
        int y0 = place / w.out_width * w.stride_y - w.top, x0 = place % w.out_width * w.stride_x - w.left;
        int y1 = y0 + w.kernel_height, x1 = x0 + w.kernel_width;
        int padded = ((y1 < bottom ? y1 : bottom) - y0) * ((x1 < right ? x1 : right) - x0);
        y0 = y0 < 0 ? 0 : y0, x0 = x0 < 0 ? 0 : x0;
        y1 = y1 < w.height ? y1 : w.height, x1 = x1 < w.width ? x1 : w.width;
        int count = with_padding ? padded : (y1 - y0) * (x1 - x0);
        for (int c = 0; c < w.channels; c++) {
            int sum = 0;
            for (int y = y0; y < y1; y++)
                for (int x = x0; x < x1; x++) {
                    uint8_t byte = image[((int64_t)y * w.width + x) * w.pixel + c];
                    sum += (is_signed ? (int8_t)byte : byte) - zero_point;
                }
            to[c] = quantum(count > 0 ? (float)sum / (float)count * scale : 0.0f, quanta);
        }
    }
}
