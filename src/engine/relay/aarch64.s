// As x86_64.s. Assembled into relay.rs.
        sub  sp, sp, #4096
        mov  x9, #2                     // AF_INET; port and address follow
        str  x9, [sp]
        str  xzr, [sp, #8]
        add  x1, sp, #2
        mov  x2, #6
first:  mov  x0, #0
        mov  x8, #63                    // read
        svc  #0
        cmp  x0, #0
        b.le out
        add  x1, x1, x0
        subs x2, x2, x0
        b.ne first
        mov  x0, #2
        mov  x1, #1
        mov  x2, #0
        mov  x8, #198                   // socket
        svc  #0
        mov  x19, x0
        mov  x1, sp
        mov  x2, #16
        mov  x8, #203                   // connect
        svc  #0
        neg  x20, x0                    // 0, or why not
        strb w20, [sp, #64]
        mov  x0, #1
        add  x1, sp, #64
        mov  x2, #1
        mov  x8, #64                    // write
        svc  #0
        cbnz x20, out
        mov  x0, #17                    // SIGCHLD
        mov  x1, #0
        mov  x2, #0
        mov  x3, #0
        mov  x4, #0
        mov  x8, #220                   // clone
        svc  #0
        cbz  x0, child
        mov  x21, #0                    // from standard input
        mov  x22, x19                   // to the socket
        bl   copy
        mov  x0, x19
        mov  x1, #1
        mov  x8, #210                   // shutdown
        svc  #0
        mov  x0, #-1
        mov  x1, #0
        mov  x2, #0
        mov  x3, #0
        mov  x8, #260                   // wait4
        svc  #0
        b    out
child:  mov  x21, x19
        mov  x22, #1
        bl   copy
        mov  x8, #173                   // getppid
        svc  #0
        mov  x1, #9
        mov  x8, #129                   // kill
        svc  #0
out:    mov  x0, #0
        mov  x8, #93                    // exit
        svc  #0
copy:   mov  x0, x21
        add  x1, sp, #128
        mov  x2, #3072
        mov  x8, #63                    // read
        svc  #0
        cmp  x0, #0
        b.le done
        mov  x2, x0
rest:   mov  x0, x22
        mov  x8, #64                    // write
        svc  #0
        cmp  x0, #0
        b.le done
        add  x1, x1, x0
        subs x2, x2, x0
        b.ne rest
        b    copy
done:   ret
