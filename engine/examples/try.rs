use engine_model::diag::*; use engine_model::spec::workflow::*; use engine_model::graph::build; use engine_model::plan::*;
use engine_runtime::{bus::Bus, exec, exec::clock::Clock, store::catalog::FileCatalog};
use std::path::PathBuf; use serde_json::json; use std::sync::atomic::AtomicBool;
use ops as _;
fn sp<T>(v: T) -> Spanned<T> { Spanned::new(v, Span::default()) }
fn step(name:&str, op:&str, ins:&[(&str,&str)], with: serde_json::Value)->StepDecl{
  StepDecl{name:sp(name.into()),op:sp(op.into()),inputs:ins.iter().map(|(p,f)|StepInput{port:(!p.is_empty()).then(||sp(p.to_string())),from:sp(f.to_string())}).collect(),with:SpannedJson{value:with,..Default::default()}}
}
fn out(n:&str,f:&str,fmt:Format)->OutputDecl{OutputDecl{name:sp(n.into()),from:sp(f.into()),format:Some(sp(fmt)),to:None,base:PathBuf::new(),chunks:None,naming:Naming::Stem}}
fn main(){
  let a:Vec<String>=std::env::args().collect();
  let w=Workflow{name:"bcss".into(),inputs:vec![InputDecl{name:sp("image".into()),source:InputSource::Foreach(sp(a[1].clone())),base:PathBuf::from("."),channels:Channels::Rgb,axes:None,on_error:OnError::Stop,ordered:true,batch:None}],
   steps:vec![step("normalized","normalize",&[("","image")],json!({"over":"collection"})),
     step("norm8","cast",&[("","normalized")],json!({"dtype":"uint8","rounding":"truncate"})),
     step("gray","grayscale",&[("","normalized")],json!({})),
     step("smooth","gaussian",&[("","gray")],json!({"sigma":1.0})),
     step("mask","threshold",&[("","smooth")],json!({"relative_to":"max","factor":0.75})),
   ],
   outputs:vec![out("Normalized","norm8",Format::Png),out("Threshold","mask",Format::Png)],..Default::default()};
  let mut r=Report::default();
  let g=build::build(&w,&FileCatalog,&mut r);
  for d in r.sorted(){println!("{d:?}");}
  let block:Vec<u64>=a.get(4).map(|s|vec![s.parse().unwrap()]).unwrap_or_default();
  let plan=rules::make(g.unwrap(),Settings{memory:4<<30,threads:a[3].parse().unwrap(),block,fuse:true}).unwrap();
  println!("{}",print::text(&plan));
  let bus=Bus::start(vec![]); let stop=AtomicBool::new(false); let res=PathBuf::from(&a[2]);
  let clock=Clock::default(); let t=std::time::Instant::now();
  let o=exec::run::run(&plan,&exec::run::Options{results:&res,keep_going:false,cpu_profile:false,stop:&stop,bus:&bus,clock}).unwrap();
  println!("{o:#?} {:?} rss {}",t.elapsed(),engine_runtime::host::peak_rss()>>20);
}
