package android.graphics

/** A picture of ARGB colours; it can only be "scaled" to its own size. */
public class Bitmap(private val width: Int, private val height: Int, private val colors: IntArray) {
    public fun getPixels(
        pixels: IntArray,
        offset: Int,
        stride: Int,
        x: Int,
        y: Int,
        width: Int,
        height: Int,
    ) {
        check(offset == 0 && x == 0 && y == 0 && stride == width)
        colors.copyInto(pixels, 0, 0, width * height)
    }

    public companion object {
        @JvmStatic
        public fun createScaledBitmap(src: Bitmap, dstWidth: Int, dstHeight: Int, filter: Boolean): Bitmap {
            check(src.width == dstWidth && src.height == dstHeight && filter)
            return src
        }
    }
}
