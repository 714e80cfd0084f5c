// One layer of a generator for a whole batch: a transposed convolution, its bias, and ReLU.
//
// Feature maps are image, row, column, channel. Eight output pixels and four output channels are
// computed at a time, with WebAssembly's vectors of four floats. Compile after every change, with
// clang and lld:
//
//   clang --target=wasm32 -O3 -msimd128 -nostdlib -Wl,--no-entry -Wl,--export=layer \
//     -Wl,--export=__heap_base -o playground-kernel.wasm playground-kernel.c

#include <wasm_simd128.h>

enum { PIXELS = 8, LANES = 4, MOST_TAPS = 16 };

// Where the input pixels of one output pixel begin, one for each tap of the kernel that meets it.
static int find_inputs(const float **found, const float *image, const float *zeros, int y, int x,
                       int before, int kernel, int stride, int padding, int inputs) {
  int count = 0;
  for (int down = (y + padding) % stride; down < kernel; down += stride) {
    for (int right = (x + padding) % stride; right < kernel; right += stride) {
      int row = (y + padding - down) / stride, column = (x + padding - right) / stride;
      int there = row >= 0 && row < before && column >= 0 && column < before &&
                  y + padding >= down && x + padding >= right;
      found[count++] = there ? image + (row * before + column) * inputs : zeros;
    }
  }
  return count;
}

// `weight` has an order of its own: blocks of four outputs, tap, input, output within the block.
void layer(const float *in, float *out, const float *weight, const float *bias, const float *zeros,
           int images, int before, int side, int kernel, int stride, int padding, int inputs,
           int outputs, int relu) {
  int phase_side = side / stride, per_image = phase_side * phase_side;
  int total = images * per_image, taps_all = kernel * kernel;
  for (int phase = 0; phase < stride * stride; phase++) {
    int top = phase / stride, left = phase % stride;
    int first_down = (top + padding) % stride, first_right = (left + padding) % stride;
    for (int start = 0; start < total; start += PIXELS) {
      const float *from[PIXELS][MOST_TAPS];
      int places[PIXELS], taps = 0;
      for (int p = 0; p < PIXELS; p++) {
        int at = start + p < total ? start + p : total - 1, within = at % per_image;
        int y = within / phase_side * stride + top, x = within % phase_side * stride + left;
        const float *image = in + at / per_image * before * before * inputs;
        taps = find_inputs(from[p], image, zeros, y, x, before, kernel, stride, padding, inputs);
        places[p] = at / per_image * side * side + y * side + x;
      }
      for (int block = 0; block < outputs; block += LANES) {
        const float *own = weight + block * taps_all * inputs;
        v128_t sums[PIXELS];
        for (int p = 0; p < PIXELS; p++) sums[p] = wasm_v128_load(bias + block);
        int tap = 0;
        for (int down = first_down; down < kernel; down += stride) {
          for (int right = first_right; right < kernel; right += stride, tap++) {
            const float *w = own + (down * kernel + right) * inputs * LANES;
            const float *a = from[0][tap], *b = from[1][tap], *c = from[2][tap], *d = from[3][tap];
            const float *e = from[4][tap], *f = from[5][tap], *g = from[6][tap], *h = from[7][tap];
            for (int i = 0; i < inputs; i++) {
              v128_t weights = wasm_v128_load(w + i * LANES);
#define ADD(p, pixel) \
  sums[p] = wasm_f32x4_add(sums[p], wasm_f32x4_mul(weights, wasm_v128_load32_splat(pixel + i)))
              ADD(0, a); ADD(1, b); ADD(2, c); ADD(3, d);
              ADD(4, e); ADD(5, f); ADD(6, g); ADD(7, h);
            }
          }
        }
        for (int p = 0; p < PIXELS && start + p < total; p++) {
          v128_t sum = relu ? wasm_f32x4_max(sums[p], wasm_f32x4_const_splat(0)) : sums[p];
          wasm_v128_store(out + places[p] * outputs + block, sum);
        }
      }
    }
  }
}
