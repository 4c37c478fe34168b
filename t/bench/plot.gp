# SPDX-License-Identifier: Apache-2.0
#
# Draws docs/performance.svg. UserProfile::Bench::Plot sets data, picture and servers.

set terminal svg size 900,760 font "sans-serif,13" background "white" noenhanced
set output picture
set multiplot layout 2,1 margins 0.09,0.97,0.08,0.92 spacing 0.11
set grid linewidth 0.5 linecolor "#cccccc"
set border 3 linecolor "#666666"
set tics nomirror
set logscale x 2
array colour[6] = ["#c2410c", "#ea9a3e", "#0369a1", "#15803d", "#7e22ce", "#666666"]

set ylabel "requests/s"
set yrange [0:*]
set format y "%.0f"
set key outside top center horizontal samplen 2
plot for [i = 0:servers - 1] data index i using 1:2 with linespoints linewidth 2 pointtype 7 pointsize 0.5 \
    linecolor rgb colour[i + 1] title columnheader(1)

set xlabel "clients on kept connections"
set ylabel "ms for an answer: median (line), 99 of 100 (dashes)"
set logscale y 10
set yrange [*:*]
set format y "%g"
set key off
plot for [i = 0:servers - 1] data index i using 1:3 with linespoints linewidth 2 pointtype 7 pointsize 0.4 \
        linecolor rgb colour[i + 1] title columnheader(1), \
    for [i = 0:servers - 1] data index i using 1:4 with linespoints linewidth 1.2 dashtype 2 pointtype 6 pointsize 0.4 \
        linecolor rgb colour[i + 1] title columnheader(1)
unset multiplot
