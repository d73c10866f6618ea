// Puts the variables of a file into the environment, over those of the same name, and becomes the program that its
// arguments name: looked for along PATH, as the engine would have. Assembled into launcher.rs; a test there compares.
.text
        ldr  x19, [sp]                  // number of arguments
        add  x20, sp, #16               // those of the program
        add  x21, x20, x19, lsl #3      // the environment
        mov  x0, #-100                  // openat, from the current folder
        adr  x1, file
        mov  x2, #0
        mov  x3, #0
        mov  x8, #56
        svc  #0
        adr  x9, unread
        mov  x10, #unread_end-unread
        tbnz x0, #63, fail
        mov  x22, x0
        mov  x1, #0                     // lseek to its end: its size
        mov  x2, #2
        mov  x8, #62
        svc  #0
        mov  x23, x0
        mov  x24, sp                    // nothing to map in an empty file
        cbz  x23, mapped
        mov  x0, #0                     // mmap, private
        mov  x1, x23
        mov  x2, #3
        mov  x3, #2
        mov  x4, x22
        mov  x5, #0
        mov  x8, #222
        svc  #0
        adr  x9, unread
        mov  x10, #unread_end-unread
        cmn  x0, #4095
        b.hs fail
        mov  x24, x0
mapped: mov  x0, x22                    // close
        mov  x8, #57
        svc  #0
        add  x23, x23, x24              // where the text ends
        mov  x1, #1                     // how long the new environment can get
        mov  x2, x24
count:  cmp  x2, x23
        b.hs olds
        ldrb w3, [x2], #1
        cmp  w3, #0
        cinc x1, x1, eq
        b    count
olds:   mov  x2, x21
more:   add  x1, x1, #1
        ldr  x3, [x2], #8
        cbnz x3, more
        sub  x0, sp, x1, lsl #3
        and  sp, x0, #-16
        mov  x25, sp                    // the new environment
        mov  x0, x25
        mov  x2, x24
ours:   cmp  x2, x23
        b.hs rest
        str  x2, [x0], #8
skip:   cmp  x2, x23
        b.hs rest
        ldrb w3, [x2], #1
        cbnz w3, skip
        b    ours
rest:   mov  x26, x0                    // ours end here
next:   ldr  x4, [x21], #8
        cbz  x4, done
        mov  x5, x25
same:   cmp  x5, x26
        b.hs keep
        ldr  x6, [x5], #8
        mov  x7, #0
each:   ldrb w2, [x6, x7]
        ldrb w3, [x4, x7]
        cmp  w2, w3
        b.ne same
        add  x7, x7, #1
        cmp  w2, #'='
        b.eq next                       // the name of one of ours
        cbnz w2, each
        b    same
keep:   str  x4, [x0], #8
        b    next
done:   str  xzr, [x0]
        adr  x9, nobody
        mov  x10, #nobody_end-nobody
        cmp  x19, #2
        b.lt fail
        ldr  x0, [x20]
        mov  x1, x0
slash:  ldrb w2, [x1], #1
        cmp  w2, #'/'
        b.eq exec                       // a path is not looked for
        cbnz w2, slash
        mov  x1, x25
path:   ldr  x22, [x1], #8
        cbz  x22, lost
        mov  w3, #0x4150                // "PATH"
        movk w3, #0x4854, lsl #16
        ldr  w2, [x22]
        cmp  w2, w3
        b.ne path
        ldrb w2, [x22, #4]
        cmp  w2, #'='
        b.ne path
        add  x22, x22, #5
        sub  sp, sp, #8192
        add  x23, sp, #4096
folder: mov  x0, sp
        ldrb w2, [x22]
        cbz  w2, lost
copy:   ldrb w2, [x22], #1
        cmp  w2, #':'
        b.eq name
        cbz  w2, last
        cmp  x0, x23
        b.hs lost
        strb w2, [x0], #1
        b    copy
last:   sub  x22, x22, #1               // the end is found again
name:   mov  w2, #'/'
        strb w2, [x0], #1
        ldr  x1, [x20]
        mov  w4, #4000
letter: subs w4, w4, #1
        b.eq lost
        ldrb w2, [x1], #1
        strb w2, [x0], #1
        cbnz w2, letter
        mov  x0, sp                     // execve: comes back only if there is none
        mov  x1, x20
        mov  x2, x25
        mov  x8, #221
        svc  #0
        b    folder
exec:   mov  x1, x20
        mov  x2, x25
        mov  x8, #221
        svc  #0
lost:   adr  x9, nobody
        mov  x10, #nobody_end-nobody
fail:   mov  x0, #2                     // write
        mov  x1, x9
        mov  x2, x10
        mov  x8, #64
        svc  #0
        mov  x0, #127                   // exit
        mov  x8, #93
        svc  #0
file:   .asciz "/run/secrets/.environment"
unread: .ascii "launcher: /run/secrets/.environment cannot be read\n"
unread_end:
nobody: .ascii "launcher: the program cannot be executed: is it there, and may this user?\n"
nobody_end:
