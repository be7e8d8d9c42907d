/* Rows become columns. `from` has `rows` rows, `to` has `columns` of them; each row starts `stride` elements later. */
#pragma once

#include "module.h"

/* Tiles of 16 by 16 keep both sides' cache lines in use until they are full. */
#define TRANSPOSE(bits)                                                                                        \
    INLINE void transpose_##bits(uint##bits##_t *to, int to_stride, const uint##bits##_t *from, int from_stride, \
                                 int rows, int columns) {                                                      \
        for (int top = 0; top < rows; top += 16)                                                               \
            for (int left = 0; left < columns; left += 16)                                                     \
                for (int i = top; i < top + 16 && i < rows; i++)                                               \
                    for (int j = left; j < left + 16 && j < columns; j++)                                      \
                        to[j * to_stride + i] = from[i * from_stride + j];                                     \
    }
TRANSPOSE(8)
TRANSPOSE(16)
TRANSPOSE(64)

typedef uint8_t bytes_anywhere __attribute__((vector_size(16), aligned(1), may_alias));

/* Three planes of bytes, `stride` bytes apart, become `count` pixels. */
INLINE void pixels_of_three(uint8_t *to, const uint8_t *from, int stride, int count) {
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        const bytes_anywhere a = *(const bytes_anywhere *)(from + i);
        const bytes_anywhere b = *(const bytes_anywhere *)(from + stride + i);
        const bytes_anywhere c = *(const bytes_anywhere *)(from + 2 * stride + i);
        const bytes_anywhere x = __builtin_shufflevector(a, b, 0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5);
        const bytes_anywhere y = __builtin_shufflevector(a, b, 21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26);
        const bytes_anywhere z =
            __builtin_shufflevector(a, b, 0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0);
        bytes_anywhere *pixels = (bytes_anywhere *)(to + 3 * i);
        pixels[0] = __builtin_shufflevector(x, c, 0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15);
        pixels[1] = __builtin_shufflevector(y, c, 0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15);
        pixels[2] = __builtin_shufflevector(z, c, 26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31);
    }
    for (; i < count; i++) for (int plane = 0; plane < 3; plane++) to[3 * i + plane] = from[plane * stride + i];
}

typedef uint32_t u4_anywhere __attribute__((vector_size(16), aligned(4), may_alias));

INLINE void transpose_4x4(uint32_t *to, int to_stride, const uint32_t *from, int from_stride) {
    u4_anywhere a = *(const u4_anywhere *)from, b = *(const u4_anywhere *)(from + from_stride);
    u4_anywhere c = *(const u4_anywhere *)(from + 2 * from_stride), d = *(const u4_anywhere *)(from + 3 * from_stride);
    u4_anywhere ac = __builtin_shufflevector(a, c, 0, 4, 1, 5), AC = __builtin_shufflevector(a, c, 2, 6, 3, 7);
    u4_anywhere bd = __builtin_shufflevector(b, d, 0, 4, 1, 5), BD = __builtin_shufflevector(b, d, 2, 6, 3, 7);
    *(u4_anywhere *)to = __builtin_shufflevector(ac, bd, 0, 4, 1, 5);
    *(u4_anywhere *)(to + to_stride) = __builtin_shufflevector(ac, bd, 2, 6, 3, 7);
    *(u4_anywhere *)(to + 2 * to_stride) = __builtin_shufflevector(AC, BD, 0, 4, 1, 5);
    *(u4_anywhere *)(to + 3 * to_stride) = __builtin_shufflevector(AC, BD, 2, 6, 3, 7);
}

INLINE void transpose_32(uint32_t *to, int to_stride, const uint32_t *from, int from_stride, int rows, int columns) {
    const int whole_rows = rows & ~3, whole_columns = columns & ~3;
    for (int top = 0; top < whole_rows; top += 16)
        for (int left = 0; left < whole_columns; left += 16)
            for (int i = top; i < top + 16 && i < whole_rows; i += 4)
                for (int j = left; j < left + 16 && j < whole_columns; j += 4)
                    transpose_4x4(to + j * to_stride + i, to_stride, from + i * from_stride + j, from_stride);
    for (int i = 0; i < rows; i++)
        for (int j = i < whole_rows ? whole_columns : 0; j < columns; j++)
            to[j * to_stride + i] = from[i * from_stride + j];
}
