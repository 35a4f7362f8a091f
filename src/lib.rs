//! egret
